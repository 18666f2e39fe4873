-- Counts of windows that are over are looked for at each attempt.
CREATE INDEX sign_in_attempt_by_age ON sign_in_attempt (window_began);
