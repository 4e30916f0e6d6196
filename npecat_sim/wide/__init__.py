"""Prior wide: telescopes, skies and defects of images; it imports render and what render may.

survey.py says what may be drawn, conditions.py draws it for one image, artifacts.py makes the
defects and image.py the pixels. surveys/ has examples of survey files.
"""
