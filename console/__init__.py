"""The `akashi` command (運用・監査): what operators and auditors do from a terminal."""
