"""The notifier: writes to contractors what became of their applications (保証申込) and certificates (電子証書)."""
