"""お知らせ: what a contractor should hear of first."""
