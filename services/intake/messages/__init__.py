"""お客様から弊社への連絡事項・弊社からお客様へのお知らせ: what is written about an application after it was sent."""
