"""What two services must agree on, and nothing else: events, their envelope, and the topics they travel on."""
