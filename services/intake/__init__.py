"""Intake (受付): takes contractors' applications and shows them what became of them."""
