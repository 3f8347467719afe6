"""An audit as one HTML file: what was found, with small pictures, and nothing loaded from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from activitynet.data.audit import KINDS, Audit, AuditedPhoto, Finding
from activitynet.data.decode import decode_image
from activitynet.errors import ImageError
from activitynet.pages import thumbnail, write_page

SHOWN = 100
"""Findings of each kind that a report shows."""

_PICTURES = 8  # of one finding

_TITLES = {
    "unreadable": "Photos that cannot be read",
    "wrong_extension": "Names that promise another format",
    "tiny": "Tiny photos",
    "monochrome": "Photos of one colour",
    "exact_duplicate": "Exact duplicates",
    "near_duplicate": "Near duplicates",
    "missing_class": "Classes without photos in a split",
    "telling_size": "Sizes that give the class away",
    "telling_format": "File formats that give the class away",
    "telling_source": "Sources that give the class away",
    "suspicious_label": "Labels that are probably wrong, the surest first",
}


def write_report(path: str | os.PathLike[str], audit: Audit) -> None:
    """Write an audit as one HTML file with thumbnails; `SHOWN` findings of each kind are shown.

    Raises:
        StorageError: The file cannot be written.
    """
    sections = [_section(audit, kind) for kind in KINDS if kind in audit.counts()]
    summary = f"{audit.photos} photos, {len(audit.findings)} findings."
    write_page(path, "audit.html", summary=summary, sections=sections)


def _section(audit: Audit, kind: str) -> dict[str, Any]:
    findings = [finding for finding in audit.findings if finding.kind == kind]
    findings.sort(key=lambda finding: not finding.across)  # leaks first
    return {
        "title": _TITLES[kind],
        "count": len(findings),
        "grid": kind == "suspicious_label",
        "findings": [_finding(finding) for finding in findings[:SHOWN]],
        "more": max(0, len(findings) - SHOWN),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    photos = [_photo(photo) for photo in finding.photos[:_PICTURES]]
    if finding.suggestion is not None:
        chosen = finding.suggestion
        photos[0]["labels"] = f"{finding.photos[0].label} → {chosen.label}"
        photos[0]["sure"] = f"{chosen.probability:.0%} against {chosen.given_probability:.0%}"
    return {
        "message": finding.message if finding.suggestion is None else "",
        "across": finding.across,
        "photos": photos,
        "more": max(0, len(finding.photos) - _PICTURES),
    }


def _photo(photo: AuditedPhoto) -> dict[str, str]:
    try:
        small = thumbnail(decode_image(Path(photo.path)))
    except ImageError:
        small = ""
    caption = f"{photo.split} · {photo.label} · {photo.path}"
    return {"thumbnail": small, "caption": caption, "labels": "", "sure": ""}
