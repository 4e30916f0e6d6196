"""Evaluations as tables, figures and an HTML page; imports metrics, baselines, pictures."""
