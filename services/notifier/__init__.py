"""The notifier: writes the letter that says where the certificate (電子証書) and its key can be fetched."""
