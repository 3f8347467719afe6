"""The scenes of each activity: every activity has at least two, and shares its places with others."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from activitynet.data.drawn.canvas import Canvas
from activitynet.data.drawn.scenes import arts, exercise, household, rest, travel, wild, work

Scene = Callable[[Canvas, Random], None]

SCENES: dict[str, tuple[Scene, ...]] = {
    "bicycling": (travel.racing_cyclist, travel.city_cyclist),
    "conditioning exercise": (exercise.barbell, exercise.dumbbells, exercise.push_ups),
    "dancing": (arts.disco, arts.couple_dance, arts.ballet),
    "fishing and hunting": (wild.angling, wild.boat_fishing, wild.hunting),
    "home activities": (household.cooking, household.vacuuming, household.ironing),
    "home repair": (household.painting, household.sawing, household.plumbing),
    "inactivity quiet/light": (rest.reading, rest.sleeping, rest.watching_tv),
    "lawn and garden": (household.mowing, household.watering, household.raking),
    "miscellaneous": (arts.chess, arts.photographing, arts.easel),
    "music playing": (arts.guitar, arts.piano, arts.drums),
    "occupation": (work.office, work.construction, work.teaching),
    "religious activities": (rest.candle_prayer, rest.prayer_rug, rest.meditating),
    "running": (travel.track_race, travel.road_race),
    "self care": (rest.brushing_teeth, rest.bathing, rest.drying_hair),
    "sports": (exercise.football, exercise.basketball, exercise.tennis),
    "transportation": (travel.car, travel.bus, travel.motor_scooter),
    "volunteer activities": (work.litter_picking, work.food_bank, work.tree_planting),
    "walking": (travel.dog_walking, travel.hiking, travel.pushing_pram),
    "water activities": (wild.swimming, wild.kayaking, wild.surfing),
    "winter activities": (wild.skiing, wild.sledging, wild.snowman),
}
