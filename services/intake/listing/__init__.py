"""保証契約一覧 and 保証料計算書一覧: what contractors look for, page by page."""
