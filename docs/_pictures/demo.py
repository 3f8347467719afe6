"""Draws the picture of the demo's page: trains a small ensemble on drawings, serves it, and looks.

    python docs/_pictures/demo.py FOLDER

FOLDER holds the drawings and the ensemble; what is there already is used again. It needs chromium and
chromedriver on the PATH, and takes minutes.
"""

from __future__ import annotations

import argparse
import queue
import shutil
import threading
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from activitynet import Classifier, Ensemble, draw_sample_data
from activitynet.demo import serve
from activitynet.weights import load_weights

WIDTH = 1000
CLASSES = ("bicycling", "dancing", "fishing and hunting", "music playing", "running", "water activities")


def trained(folder: Path) -> Ensemble:
    """Return a calibrated ensemble of two networks, trained on drawings."""
    if not (folder / "drawings").exists():
        draw_sample_data(folder / "drawings", val_per_class=20, size=192, classes=CLASSES)
    members = []
    for seed, size in enumerate((64, 80)):
        weights = folder / f"member-{seed}"
        if not weights.exists():
            # Batch norms learn faster than the network's own group norms where there are minutes, not hours.
            classifier = Classifier("test_resnet_se", image_size=size, model_args={"norm": "batch"})
            classifier.fit(folder / "drawings", recipe="quick", epochs=12, seed=seed)
            classifier.calibrate(folder / "drawings")
            classifier.save(weights)
        members.append(load_weights(weights))
    return Ensemble(members)


def serve_somewhere(ensemble: Ensemble) -> str:
    """Serve the page until this process ends, and return its address."""
    addresses: queue.Queue[str] = queue.Queue()
    options = {"name": "weights/drawings", "port": 0, "unknown_below": 0.3, "ready": addresses.put}
    threading.Thread(target=serve, args=(ensemble,), kwargs=options, daemon=True).start()
    return addresses.get()


def look(address: str, photo: Path, path: Path) -> None:
    """Ask the page about a photo, and write what it shows."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for switch in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(switch)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.get(address)
        browser.find_element("id", "photos").send_keys(str(photo.resolve()))
        browser.find_element("css selector", "button.main").click()
        WebDriverWait(browser, 60).until(lambda page: page.find_elements("id", "members"))
        browser.execute_script("document.activeElement.blur()")
        screen = {"width": WIDTH, "deviceScaleFactor": 1, "mobile": False, "height": 800}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        screen["height"] = browser.execute_script("return document.documentElement.scrollHeight")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.save_screenshot(str(path))
    finally:
        browser.quit()
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(128).save(path, optimize=True)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description="Draw the picture of the demo's page.")
    parser.add_argument("folder", type=Path, help="for the drawings and the trained ensemble")
    parser.add_argument("--output", type=Path, default=Path("docs/pictures/demo.png"))
    parser.add_argument("--activity", default="dancing", choices=CLASSES)
    options = parser.parse_args()
    ensemble = trained(options.folder)
    photos = options.folder / "drawings" / "val" / options.activity.replace(" ", "_")
    right = [said for said in ensemble.predict(photos) if said.label == photos.name]
    surest = max(right, key=lambda said: said.probability or 0)
    look(serve_somewhere(ensemble), Path(surest.source), options.output)


if __name__ == "__main__":  # processes that load photos import this file anew on some systems
    main()
