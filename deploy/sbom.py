"""What is in a deployment that others wrote? A CycloneDX document of every locked package and jar, with its hash.

    python -m deploy.sbom > sbom.cdx.json

Python packages come from `uv.lock` by uv itself, the broker's jars from `kafka-jars.lock`. The same lock files give
the same document. What images bring along (Debian's packages, Python, the published images) is not in it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploy.local import kafka_jars
from deploy.local.state import CLONE

#: Of one run, not of what is described.
_PASSING = ("timestamp", "tools")


def document() -> dict[str, Any]:
    """CycloneDX 1.5, as JSON."""
    uv = Path(sys.executable).with_name("uv")
    groups = ["--no-default-groups", "--group", "local", "--group", "jre"]
    exported = subprocess.run(
        [str(uv), "export", "--quiet", "--frozen", "--format", "cyclonedx1.5", *groups],
        cwd=CLONE,
        check=True,
        capture_output=True,
        text=True,
    )
    told: dict[str, Any] = json.loads(exported.stdout)
    told.pop("serialNumber", None)
    for passing in _PASSING:
        told["metadata"].pop(passing, None)
    told["components"] += [_component(jar) for jar in kafka_jars.locked()]
    return told


def _component(jar: kafka_jars.Jar) -> dict[str, Any]:
    purl = f"pkg:maven/{jar.group}/{jar.artifact}@{jar.version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "group": jar.group,
        "name": jar.artifact,
        "version": jar.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": jar.sha256}],
    }


if __name__ == "__main__":
    print(json.dumps(document(), ensure_ascii=False, indent=2))
