"""What strategies promise, what is measured of them, pictures and documents."""
