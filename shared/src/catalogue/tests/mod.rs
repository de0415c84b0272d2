mod experiment;
