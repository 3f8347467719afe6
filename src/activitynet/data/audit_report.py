"""An audit as one HTML file: what was found, with small pictures, and nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
import os
from html import escape
from pathlib import Path

from PIL import Image

from activitynet.atomic import write_text
from activitynet.data.decode import decode_image
from activitynet.data.findings import KINDS, Audit, AuditedPhoto, Finding
from activitynet.errors import ImageError

SHOWN = 100
"""Findings of each kind that a report shows."""

_PICTURES = 8  # of one finding
_SIDE = 120

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
_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;
color:light-dark(#222,#ddd);background:light-dark(#fff,#181818)}
article{border-top:1px solid light-dark(#ccc,#444);padding:.6rem 0}
figure{display:inline-block;vertical-align:top;margin:.4rem;width:140px;font-size:12px;overflow-wrap:anywhere}
img{display:block;max-width:120px;max-height:120px}
.across{color:light-dark(#a00,#f88);font-weight:bold}
.suspects{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:0 1rem}
.suspects figure{width:auto}.suspects strong{font-size:14px}
"""


def write_report(path: str | os.PathLike[str], audit: Audit) -> None:
    """Write an audit as one HTML file with thumbnails; `SHOWN` findings of each kind are shown.

    Raises:
        StorageError: The file cannot be written.
    """
    sections = [_section(audit, kind) for kind in KINDS if kind in audit.counts()]
    summary = f"{audit.photos} photos, {len(audit.findings)} findings."
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Audit</title>'
        f"<style>{_STYLE}</style></head><body><h1>Audit</h1><p>{summary}</p>{''.join(sections)}</body></html>\n"
    )
    # Half of a surrogate pair stands for a byte of a name that is no text.
    write_text(path, page.encode("utf-8", errors="replace").decode("utf-8"))


def _section(audit: Audit, kind: str) -> str:
    findings = [finding for finding in audit.findings if finding.kind == kind]
    findings.sort(key=lambda finding: not finding.across)  # leaks first
    more = f"<p>and {len(findings) - SHOWN} more</p>" if len(findings) > SHOWN else ""
    shown = "".join(map(_suspect if kind == "suspicious_label" else _article, findings[:SHOWN]))
    grid = ' class="suspects"' if kind == "suspicious_label" else ""
    return f"<section><h2>{_TITLES[kind]} ({len(findings)})</h2><div{grid}>{shown}</div>{more}</section>"


def _suspect(finding: Finding) -> str:
    (photo,), suggestion = finding.photos, finding.suggestion
    if suggestion is None:
        return _article(finding)
    labels = f"{escape(photo.label)} → {escape(suggestion.label)}"
    sure = f"{suggestion.probability:.0%} against {suggestion.given_probability:.0%}"
    return f"<article>{_figure(photo, f'<strong>{labels}</strong><br>{sure}<br>')}</article>"


def _article(finding: Finding) -> str:
    across = '<span class="across">across splits</span> ' if finding.across else ""
    figures = "".join(map(_figure, finding.photos[:_PICTURES]))
    more = f"<p>and {left} more</p>" if (left := len(finding.photos) - _PICTURES) > 0 else ""
    return f"<article><p>{across}{escape(finding.message)}</p>{figures}{more}</article>"


def _figure(photo: AuditedPhoto, before: str = "") -> str:
    """Return a photo with its caption; ``before`` is HTML."""
    caption = escape(f"{photo.split} · {photo.label} · {photo.path}")
    return f"<figure>{_thumbnail(Path(photo.path))}<figcaption>{before}{caption}</figcaption></figure>"


def _thumbnail(path: Path) -> str:
    try:
        image = decode_image(path)
    except ImageError:
        return ""
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode("ascii")}">'
