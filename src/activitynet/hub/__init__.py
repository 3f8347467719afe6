"""Weights on the Hub: repository names, cached downloads, and released weights."""

from activitynet.hub.client import cache_folder, fetch, is_cached, resolve
from activitynet.hub.reference import Reference, local_folder
from activitynet.hub.releases import Release, fetch_release, find_release, list_releases

__all__ = [
    "Reference",
    "Release",
    "cache_folder",
    "fetch",
    "fetch_release",
    "find_release",
    "is_cached",
    "list_releases",
    "local_folder",
    "resolve",
]
