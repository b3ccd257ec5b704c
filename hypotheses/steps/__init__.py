"""The steps that recipes are made of: each asks the model for one thing and reads what comes back."""
