"""The report as a browser shows it."""

import shutil

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from npecat_eval.metrics.predictions import Prediction, Truth
from npecat_eval.metrics.table import evaluate
from npecat_eval.pictures.examples import example_figure
from npecat_eval.pictures.residuals import residual_figure
from npecat_eval.report import metric_figures as figures
from npecat_eval.report.html import write_report
from npecat_eval.report.wide_tables import TITLES, wide_tables
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.simulation.simulate import simulate_images
from tests.eval.test_metrics import perfect

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver to show the report in")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    session = webdriver.Chrome(options, Service(driver))
    yield session
    session.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of a planted catalog, its table and its folder."""
    folder = tmp_path_factory.mktemp("report")
    batch = simulate_images(SINGLE_FIELD, 3, split="test", indices=range(40))
    found = perfect(batch.catalog)
    found.x[:] += np.random.default_rng(1).normal(0, 0.6, len(found))
    table = evaluate(
        Truth(batch.catalog), {"planted": Prediction(found)}, bound=None, test_set="<one>"
    )
    settings = {"n_images": 40, "versions": {"npecat": "<0>"}}
    drawn = figures.draw(table, folder)
    examples, residuals = folder / "examples.png", folder / "residuals.png"
    shown = simulate_images(SINGLE_FIELD, 3, split="test", indices=range(4))
    example_figure(shown, found, path=examples)
    residual_figure(shown, found, path=residuals)
    return write_report(
        table,
        settings,
        drawn=drawn,
        examples=examples,
        residuals=residuals,
        method="planted",
        directory=folder,
    ), table


def test_browser_shows_all_of_it(browser, report):
    path, table = report
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []
    assert browser.title == "npecat: <one>"
    images = browser.find_elements(By.TAG_NAME, "img")
    assert len(images) == 4 + 2  # figures that need no posterior, examples and residuals
    for image in images:
        assert int(image.get_property("naturalWidth")) > 500
        assert image.is_displayed()
    tables = browser.find_elements(By.TAG_NAME, "table")
    wide = wide_tables(table)
    assert len(tables) == len(wide)
    assert all(title in tables[0].text for title in TITLES.values())
    assert all(cell in tables[0].text for row in wide[0].cells for cell in row)
    assert "<0>" in browser.find_element(By.TAG_NAME, "pre").text
    body = browser.find_element(By.TAG_NAME, "body")
    assert body.size["width"] <= 1200  # nothing runs out of the window


def test_page_stands_alone(report):
    text = report[0].read_text(encoding="utf-8")
    for word in ('src="http', 'href="http', "<script", '<link rel="stylesheet', "url("):
        assert word not in text
