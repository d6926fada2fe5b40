import json
import threading
from pathlib import Path

from utils.sacred_files import WholeFileObserver


def test_a_reader_never_meets_half_a_file(tmp_path: Path) -> None:
    observer = WholeFileObserver(tmp_path)
    observer.dir = str(tmp_path)
    observer.save_json({"n": 0}, "run.json")
    writer = threading.Thread(
        target=lambda: [
            observer.save_json({"n": i, "x": "x" * 20_000}, "run.json") for i in range(30)
        ]
    )
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(json.loads((tmp_path / "run.json").read_text())["n"])
    writer.join()
    assert seen == sorted(seen)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
