"""The teacher: a sentence encoder that labels tickets which nobody labelled, at training time only."""
