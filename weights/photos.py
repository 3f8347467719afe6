"""What the cards of released weights say of the photos that they learned from."""

from __future__ import annotations

SOURCES = (
    "Of public data sets: HAR (Kaggle), Flickr8k, 22 Types of Sports, IdenProf, free-exercise-db, a helmet "
    "set and one of musical instruments; labels partly made by rules and weeded by eye, about one in ten "
    "wrong in some classes. Sources are tied to classes: walking and winter activities come only from "
    "Flickr8k, home repair only from IdenProf, fishing and hunting is nearly all sport shooting, "
    "transportation nearly all motorcycles."
)
LITE0 = "timm's tf_efficientnet_lite0 (ImageNet-1k, Apache-2.0)"
LICENCE = "research-only: trained on photos for non-commercial research, some of unknown license"
