"""What the scripts of this project share: their arguments, figures and checks."""
