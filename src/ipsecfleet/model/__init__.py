"""What things are: frozen values, the whole vocabulary between the layers."""
