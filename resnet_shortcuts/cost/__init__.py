"""What a shortcut strategy costs: parameters, multiply-adds, memory and time."""
