"""What the server tells of itself: metrics and its log. Nothing that a user sent is in either."""
