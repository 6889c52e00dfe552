"""What pages are made of: HTML that is safe by construction, charts as SVG, and the order of labels."""
