"""The one certificate that an auditor asks for: by a proof, or by its content."""

import hashlib
from typing import Any

from transparency import leaves
from transparency.checkpoints import Checkpoint, Trust
from transparency.commitments import canonical
from transparency.errors import Finding, Malformed, found_in
from transparency.export import Leaf
from transparency.proofs import FORMAT, Proven, verify_proof
from transparency.strict import from_json


class Wanted:
    """Looks out for it while the leaves go by."""

    def __init__(self, file: str, *, proven: Proven | None, content: frozenset[str]) -> None:
        self.file = file
        self._proven = proven
        self._content = content
        self._found: int | None = None

    @classmethod
    def parse(cls, raw: bytes, file: str, trust: Trust) -> "Wanted":
        """An `akashi-proof/1`, which is verified at once, or the JSON of a certificate's content."""
        with found_in(file):
            document = from_json(raw)
            if isinstance(document, dict) and document.get("format") == FORMAT:
                # Saved before a witness saw its checkpoint, it is as good: the export that contains it was seen.
                return cls(file, proven=verify_proof(document, trust.without_witnesses()), content=frozenset())
            # The very bytes that were hashed, or the same content written otherwise.
            try:
                texts = (raw.strip(), canonical(_without_null(document)))
            except RecursionError:
                raise Malformed("nested too deeply") from None
            return cls(file, proven=None, content=frozenset(hashlib.sha256(text).hexdigest() for text in texts))

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What the proof is against: the log must contain it."""
        return None if self._proven is None else self._proven.signed.checkpoint

    @property
    def sentence(self) -> str:
        return f"{self.file} is its leaf {self._found}"

    def see(self, leaf: Leaf) -> None:
        if self._proven is not None:
            if leaf.index == self._proven.index:
                if leaf.commitment != self._proven.commitment:
                    raise Finding(f"is not the leaf {leaf.index} of the export", file=self.file)
                self._found = leaf.index
        elif (
            leaf.document is not None
            and leaf.document["type"] == leaves.CERTIFICATE
            and leaf.document["content_sha256"] in self._content
        ):
            self._found = leaf.index

    def check_found(self) -> None:
        if self._found is None:
            raise Finding("is not in the export", file=self.file)


def _without_null(value: Any) -> Any:
    """As a certificate's content is hashed: what is not there is left out."""
    match value:
        case dict():
            return {name: _without_null(one) for name, one in value.items() if one is not None}
        case list():
            return [_without_null(one) for one in value]
    return value
