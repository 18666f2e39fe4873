"""作成中の申込: forms that are not sent yet."""
