"""What test_child.py has a child do; each takes bytes, as a reader does."""

import os
import urllib.request

import numpy as np

from npecat_sim.io.child import Arrays


def numbers(content: bytes) -> Arrays:
    print("a library's chatter")
    return {"numbers": np.arange(int(content))}


def allocate(content: bytes) -> Arrays:
    return {"zeros": np.frombuffer(bytes(int(content)), np.uint8)}


def count(content: bytes) -> Arrays:
    return {"sum": np.array(sum(range(int(content))))}


def close(content: bytes) -> Arrays:
    os.close(int(content))
    return {}


def leave(content: bytes) -> Arrays:
    os._exit(int(content))


def fetch(content: bytes) -> Arrays:
    urllib.request.urlopen(content.decode())
    return {}


def objects(content: bytes) -> Arrays:
    return {"objects": np.array([content, None], object)}


def abort(content: bytes) -> Arrays:
    os.abort()
