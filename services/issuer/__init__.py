"""The issuer (保証会社): decides applications and issues certificates with their keys."""
