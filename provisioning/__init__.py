"""What headquarters prepares for its posts: the broker's access rules, rosters that are known to be good, keys."""
