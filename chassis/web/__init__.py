"""What every HTTP side shares: problem documents, tokens, paging, health."""
