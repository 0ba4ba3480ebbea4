"""What the parts of the UI share."""

import json
from pathlib import Path

SECTIONS = ("system", "directories", "models", "optimization", "performance")


def load_config(path: str) -> dict:
    """Reads the config, and makes the folders that it names."""
    file = Path(path)
    config = json.loads(file.read_text(encoding="utf-8"))
  missing = [section for section in SECTIONS if section not in config]
    if missing:
        raise SystemExit(f"{path} has no {', '.join(missing)}")
    for folder in config["directories"].values():
        (file.parent / folder).mkdir(exist_ok=True)
    return config
