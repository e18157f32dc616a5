"""What must survive: keys, the chain of signed events, and the journal that holds them."""
