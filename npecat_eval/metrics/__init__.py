"""What is measured on predicted and true catalogs; imports catalog."""
