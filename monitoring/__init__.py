"""What watches Volary: rules and alerts, dashboards as code, and the copies and pages that are made of them."""
