"""What must hold in the simulated world (`volary.simulation`)."""
