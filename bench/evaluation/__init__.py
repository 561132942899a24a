"""How well the shipped rules detect, measured on sets that this project builds itself."""
