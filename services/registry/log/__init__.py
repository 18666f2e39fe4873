"""透明性ログ: what the registry did, as leaves of a tree that can only grow. The tree itself is in `transparency`."""
