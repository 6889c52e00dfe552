"""Helpdesks: their deliveries in, answers in their own words out, and what people change there back as judgements."""
