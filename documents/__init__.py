"""What several services must draw alike: certificate, key notice, fee statement, receipt; signed PDFs and HTML."""
