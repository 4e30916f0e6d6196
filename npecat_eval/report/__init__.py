"""Metrics as tables, figures and one page; imports metrics, baselines, pictures."""
