"""Files of weights by name: from the Hub through its own client, from a mirror folder, or from the cache."""

from activitynet.hub.client import cache_folder, fetch, is_cached, resolve
from activitynet.hub.faults import Reference, in_mirror
from activitynet.hub.releases import Release, fetch_release, find_release, list_releases

__all__ = [
    "Reference",
    "Release",
    "cache_folder",
    "fetch",
    "fetch_release",
    "find_release",
    "in_mirror",
    "is_cached",
    "list_releases",
    "resolve",
]
