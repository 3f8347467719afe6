"""Drawn scenes: a labelled data set to try things on without any photos. Drawings, never photos."""

from __future__ import annotations

from activitynet.data.drawn.pictures import contact_sheet, draw_picture
from activitynet.data.drawn.sample_data import draw_sample_data

__all__ = ["contact_sheet", "draw_picture", "draw_sample_data"]
