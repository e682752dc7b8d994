"""CEL for everybody who lets users write expressions: parsed by the real thing, told in sentences."""
