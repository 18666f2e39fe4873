"""消去: the personal data of one application is erased everywhere by destroying its data key."""
